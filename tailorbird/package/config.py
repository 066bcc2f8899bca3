"""`config.yaml`: the RunConfig as a mapping, which only training interprets."""

from collections.abc import Mapping
from typing import Any

from tailorbird.errors import Corrupt

FILE = "config.yaml"


def encode(config: Mapping[str, Any]) -> bytes:
    """Serialise a config, keeping the order of keys."""
    import yaml

    return yaml.safe_dump(dict(config), sort_keys=False).encode()


def parse(data: bytes) -> dict[str, Any]:
    """Read the file; raises Corrupt if it is not a mapping, or has aliases."""
    import yaml

    try:
        # aliases could make a value that contains itself, or one that is huge when it is expanded
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(data, yaml.SafeLoader)):
            raise ValueError("alias")
        return {str(key): value for key, value in dict(yaml.safe_load(data)).items()}
    except (ValueError, TypeError, AttributeError, RecursionError, yaml.YAMLError):
        raise Corrupt(f"{FILE}: is not a mapping in YAML without aliases") from None
