"""What an asset configures."""

from soar_sdk.asset import AssetField, BaseAsset, FieldCategory

EVERYTHING = "Everything kept"
NEW = "What is new"


class Asset(BaseAsset):
    """Where the connector listens, who calls it, and what is ingested."""

    url: str = AssetField(
        description="URL of the connector, as configured in actions.listen, such as https://connector.example:9465"
    )
    token: str = AssetField(
        description="Token of the caller in the connector's configuration (actions.callers). "
        "Give each SOAR a caller of its own",
        sensitive=True,
    )
    verify_server_cert: bool = AssetField(description="Verify the connector's certificate", default=True)
    ca_certificate: str | None = AssetField(
        description="Certificate of the authority that signed the connector's certificate (PEM). "
        "Default: those that the platform trusts",
        is_file=True,
    )
    client_certificate: str | None = AssetField(
        description="Client certificate (PEM), where the connector has actions.tls.client_ca_file",
        is_file=True,
    )
    client_key: str | None = AssetField(
        description="Private key of the client certificate (PEM)", sensitive=True
    )
    action_timeout: int = AssetField(
        description="Seconds that an action run waits for the end of its action",
        default=300,
        category=FieldCategory.ACTION,
    )
    verdicts: str = AssetField(
        description="Verdicts that get a container, separated by commas; * for all",
        default="MALICIOUS, SUSPICIOUS, SPOOF",
        category=FieldCategory.INGEST,
    )
    search: str | None = AssetField(
        description="Only events of this search of the connector's configuration",
        category=FieldCategory.INGEST,
    )
    first_poll: str = AssetField(
        description="Where the first poll begins",
        default=NEW,
        value_list=[NEW, EVERYTHING],
        category=FieldCategory.INGEST,
    )
    max_containers: int = AssetField(
        description="Most new containers of one poll; the next poll goes on from there",
        default=100,
        category=FieldCategory.INGEST,
    )
