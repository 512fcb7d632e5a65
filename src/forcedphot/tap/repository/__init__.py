"""What a Butler repository has for a service: the tables of its Parquet datasets, and its images."""
