"""Builds what keeps signed documents, and what reads them: in a folder, or in a bucket."""

import importlib.util
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Final

from listener import errors
from listener.cabinet import Cabinet, Folder
from listener.settings import Settings

if TYPE_CHECKING:
    from listener.bucket import Bucket
    from listener.worker.store import Store

INSTALL: Final = "documents: obstore, which speaks to s3://…, is not installed; pip install 'signlog[s3]'"


def refuse_overwriting(settings: Settings) -> str | None:
    """Why nothing can be put into the bucket now: that may pass. Raises ConfigurationError for what will not."""
    if settings.bucket is None:
        return None
    try:
        _bucket(settings, settings.bucket).prove()
    except errors.Overwrites as error:
        raise errors.ConfigurationError(f"documents: {error}") from None
    except errors.StoreAway as error:
        return str(error)
    return None


def trouble(settings: Settings) -> str | None:
    """Why nothing can be put into the bucket now, whatever it is."""
    try:
        return refuse_overwriting(settings)
    except errors.ConfigurationError as error:
        return str(error)


def cabinet(settings: Settings) -> Cabinet:
    """Where documents lie, for who reads them. Raises ConfigurationError."""
    return Folder(settings.documents_folder) if settings.bucket is None else _bucket(settings, settings.bucket)


def store(settings: Settings, worker: str = "", living: Callable[[], Collection[str]] = tuple) -> "Store":
    """Where documents are put, by which of several workers. Raises ConfigurationError."""
    if settings.bucket is None:
        from listener.worker.filestore import FileStore

        return FileStore(settings.documents_folder, settings.disk_reserve, worker, living)
    bucket = _bucket(settings, settings.bucket)  # without obstore, nobody gets further
    from listener.worker.objectstore import ObjectStore

    return ObjectStore(bucket, settings.disk_reserve, worker, living)


def _bucket(settings: Settings, address: str) -> "Bucket":
    if importlib.util.find_spec("obstore") is None:
        raise errors.ConfigurationError(INSTALL)
    from listener.bucket import Bucket

    return Bucket(address, settings.documents_folder)
