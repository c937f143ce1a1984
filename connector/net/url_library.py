"""httpx, the library around the transport: reads URLs that are not plain, proxies and cookies.

Imported where one of these occurs: it takes longer to import than the transport, and few daemons need it.
"""

from connector.import_guard import absent

with absent("pygments", "rich"):
    import httpx as httpx  # noqa: PLC0414, the name that the importing module uses
