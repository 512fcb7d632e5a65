"""The table access service: ADQL queries on tables in Parquet files, which are read in place."""
