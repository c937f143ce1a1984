"""Output ``s3``: batches as objects in Amazon S3 and compatible stores, each written exactly once."""
