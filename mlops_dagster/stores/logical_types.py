"""The logical type of a column: one name for all the ways in which Arrow may keep the same values."""

import pyarrow as pa


def type_name(kind: pa.DataType) -> str:
    """Name the logical type of a column, as it enters a digest."""
    if pa.types.is_dictionary(kind):
        return type_name(kind.value_type)
    if pa.types.is_timestamp(kind):
        return "timestamp" if kind.tz is None else "timestamp_utc"
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_nested(kind):
        return _nested_name(kind)
    return next((name for name, belongs in _FAMILIES if belongs(kind)), str(kind))


def _nested_name(kind: pa.DataType) -> str:
    if pa.types.is_struct(kind):
        fields = sorted(f"{field.name}:{type_name(field.type)}" for field in kind)
        return f"struct<{','.join(fields)}>"
    if pa.types.is_map(kind):
        return f"map<{type_name(kind.key_type)},{type_name(kind.item_type)}>"
    return f"list<{type_name(kind.value_type)}>" if _is_list(kind) else str(kind)


def is_text(kind: pa.DataType) -> bool:
    """Tell whether a column holds text."""
    tests = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(test(kind) for test in tests)


def is_bytes(kind: pa.DataType) -> bool:
    """Tell whether a column holds bytes."""
    tests = (
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_binary_view,
        pa.types.is_fixed_size_binary,
    )
    return any(test(kind) for test in tests)


def _is_list(kind: pa.DataType) -> bool:
    tests = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    return any(test(kind) for test in tests)


_FAMILIES = (
    ("string", is_text),
    ("binary", is_bytes),
    ("date", pa.types.is_date),
    ("time", pa.types.is_time),
    ("duration", pa.types.is_duration),
)
