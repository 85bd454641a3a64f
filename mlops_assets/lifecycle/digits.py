"""Numbers as people read them."""

# From here on a float has no exact units left to show.
MOST = 1e15
THIN = "\u202f"  # a narrow space that no line breaks at


def digits(
    value: float, significant: int = 4, *, signed: bool = False, separator: str = ","
) -> str:
    """A number with some significant digits; a large one with all that stand before its point.

    What is counted or paid is read in full, ``12,346``, where rounding would need an exponent.

    Parameters
    ----------
    value : float
    significant : int
    signed : bool
        Write a plus, too; not before 0.
    separator : str
        Between thousands.

    Examples
    --------
    >>> digits(0.123456), digits(9999.4), digits(9999.6), digits(-1234567.8), digits(2e20)
    ('0.1235', '9999', '10,000', '-1,234,568', '2e+20')
    """
    plus = "+" if signed and value else ""
    text = f"{value:{plus}.{significant}g}"
    if "e+" in text and abs(value) < MOST:
        text = f"{value:{plus},.0f}".replace(",", separator)
    return text


def interval(value: float, low: float, high: float, separator: str = ",") -> str:
    """An estimate with the bounds of its interval.

    Examples
    --------
    >>> interval(0.5, 0.25, 12345.6)
    '0.5 [0.25, 12,346]'
    """
    told, least, most = (digits(each, separator=separator) for each in (value, low, high))
    return f"{told} [{least}, {most}]"
