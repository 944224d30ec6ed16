"""One webhook: its body, its signature, and the request that carries it to an address outside."""
