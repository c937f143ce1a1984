"""The comparison with engines that map records to ECS; see ``__main__``."""
