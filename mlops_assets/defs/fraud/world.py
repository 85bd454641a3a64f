"""The simulated world of the fraud example: who buys, where, and what is near.

Written, like ``source``, from the handbook's description of its simulator.
"""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

AGE_BANDS = ("18-25", "26-45", "46-65", "66+")
REGIONS = ("north", "south", "east", "west")

_AGE_SHARES = (0.14, 0.38, 0.31, 0.17)
_PLANE = 100.0
_RADIUS = 5.0


@dataclass(frozen=True)
class World:
    """Customers and terminals, which stay the same for a whole simulation.

    ``near[first[c] : first[c] + reachable[c]]`` are the terminals customer ``c`` uses.
    """

    mean_amount: np.ndarray
    rate: np.ndarray
    age_band: np.ndarray
    customer_xy: np.ndarray
    terminal_xy: np.ndarray
    near: np.ndarray
    first: np.ndarray
    reachable: np.ndarray

    @property
    def customers(self) -> int:
        return len(self.rate)

    @property
    def terminals(self) -> int:
        return len(self.terminal_xy)


def populate(customers: int, terminals: int, rng: np.random.Generator) -> World:
    """Customers and terminals spread over the plane.

    A customer uses the terminals within its radius or, where there is none, the nearest.
    """
    customer_xy = rng.uniform(0, _PLANE, (customers, 2))
    terminal_xy = rng.uniform(0, _PLANE, (terminals, 2))
    tree = cKDTree(terminal_xy)
    nearest = tree.query(customer_xy)[1]
    within = tree.query_ball_point(customer_xy, _RADIUS, return_sorted=True)
    usable = [found or [alone] for found, alone in zip(within, nearest, strict=True)]
    reachable = np.array([len(found) for found in usable])
    return World(
        mean_amount=rng.uniform(5, 100, customers),
        rate=rng.uniform(0, 4, customers),
        age_band=rng.choice(np.array(AGE_BANDS, dtype=object), customers, p=_AGE_SHARES),
        customer_xy=customer_xy,
        terminal_xy=terminal_xy,
        near=np.concatenate(usable),
        first=np.cumsum(reachable) - reachable,
        reachable=reachable,
    )


def regions(xy: np.ndarray) -> np.ndarray:
    """Region of each point, the plane being cut along its two diagonals."""
    dx, dy = (xy - _PLANE / 2).T
    north, south, east, west = np.array(REGIONS, dtype=object)
    return np.where(
        np.abs(dx) > np.abs(dy), np.where(dx > 0, east, west), np.where(dy > 0, north, south)
    )


def far_terminals(world: World, customer: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each customer the farthest of eight terminals drawn at random."""
    drawn = rng.integers(0, world.terminals, (customer.size, 8))
    away = world.terminal_xy[drawn] - world.customer_xy[customer][:, None, :]
    farthest = np.hypot(away[..., 0], away[..., 1]).argmax(axis=1)
    return drawn[np.arange(customer.size), farthest]
