"""Ranking in partitions: kept as they finish, cut into shards, or computed by the workers of Dask."""
