"""The stages of the graph: thin Dagster assets over the plain functions of ``lifecycle``."""
