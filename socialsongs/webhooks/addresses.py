"""Which addresses webhooks may be sent to.

The address to which the connection goes is checked when it is made: what a name led to before does not count.
"""

from __future__ import annotations

import logging
import socket
import time
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from ..conf import config, networks

logger = logging.getLogger(__name__)

# Python's ``is_global`` knows the private, shared, link-local and reserved networks. These are global to some versions
# of it, or lead somewhere inside: protocol assignments, relays of 6to4, and the metadata service of Azure.
REFUSED_V4 = [ip_network(text) for text in ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")]
# All other IPv6 addresses are of no server: loopback, unique local, link- and site-local, multicast, IPv4-compatible.
SERVERS_V6 = ip_network("2000::/3")
REFUSED_V6 = [ip_network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")]
NAT64 = ip_network("64:ff9b::/96")  # an IPv4 address in its last 32 bits

PORTS = (80, 443)  # and all from 1024: the others belong to services that are not HTTP


class AddressRefused(OSError):
    """A name leads to no address that webhooks may be sent to."""


def is_allowed(address: IPv4Address | IPv6Address) -> bool:
    """Return whether webhooks may be sent to an address: a public one, or one of WEBHOOK_ALLOWED_NETWORKS."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_allowed(address.ipv4_mapped)
        if address in NAT64:
            return is_allowed(IPv4Address(int(address) & 0xFFFFFFFF))
    if _within(address, networks(config().WEBHOOK_ALLOWED_NETWORKS)):
        return True
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast and not _within(address, REFUSED_V4)
    return address in SERVERS_V6 and address.is_global and not _within(address, REFUSED_V6)


def _within(address: IPv4Address | IPv6Address, among: list[IPv4Network | IPv6Network]) -> bool:
    return any(address in network for network in among)


def connect(host: str, port: int, *, deadline: float, connect_seconds: float) -> socket.socket:
    """Return a connection to one of the host's addresses that are allowed, before ``deadline`` (``time.monotonic()``).

    Raises AddressRefused when there is none, and OSError as sockets do. A name is resolved by the system, in its time.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    allowed = [entry for entry in found if is_allowed(ip_address(str(entry[4][0]).partition("%")[0]))]
    if not allowed:  # to which addresses is not the client's to know: its own name may lead into the site's network
        logger.warning("%s leads to %s, where webhooks may not be sent", host, [where[0] for *_, where in found])
        raise AddressRefused(f"{host} leads nowhere that webhooks may be sent to (WEBHOOK_ALLOWED_NETWORKS).")
    error: OSError = TimeoutError("There was no time left to connect.")
    for family, kind, protocol, _, address in allowed:
        left = min(connect_seconds, deadline - time.monotonic())
        if left <= 0:
            break
        opened = socket.socket(family, kind, protocol)
        try:
            opened.settimeout(left)
            opened.connect(address)
        except OSError as failed:
            opened.close()
            error = failed
        else:
            return opened
    raise error
