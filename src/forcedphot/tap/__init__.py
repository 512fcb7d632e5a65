"""The table access service: ADQL queries on tables in Parquet files, which are read in place."""

from .client import get_tap_service

__all__ = ["get_tap_service"]
