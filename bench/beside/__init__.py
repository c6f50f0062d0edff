"""The comparison with other proxies: who takes part, what is asked of them, how it is measured and told."""
