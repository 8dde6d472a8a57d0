"""What is sent of a record: its file, as it was hashed, and what resuming needs. Pure."""

from dmc.client.records import OutboxRecord
from dmc.client.transport import Parcel


def parcel_of(record: OutboxRecord) -> Parcel:
    """The file of a record, as it is sent."""
    return Parcel(
        path=record.path,
        label=record.label,
        file_size=record.size,
        sha512=record.sha512,
        conversion_type=record.conversion_type,
        key=record.key,
        options=record.options,
        upload_url=record.upload_url,
        lag_s=record.lag_s,
    )
