"""API v1: the contract for clients. Errors are problem+json (RFC 9457), whatever the host's DRF settings are."""
