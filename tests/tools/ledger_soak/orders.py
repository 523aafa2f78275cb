"""The refills of a soak: the same ones in every process, so that none has to be told of them."""

from collections import Counter
from collections.abc import Iterator

from attrs import frozen

from oneloop.ledger import RefillOrder

WORKSPACE = "ws_1"


@frozen
class Orders:
    """Refills of some meters, each of which gets several.

    Two refills of a meter have different amounts, so that the sandbox's log says which of them was
    applied. The amounts are 1, 2, 3 and so on: the sum of two is that of another one.

    Attributes:
        refills: How many.
        meters: Of how many meters.
    """

    refills: int
    meters: int

    def names(self) -> list[str]:
        """Return the meters' names."""
        return [f"m{number}" for number in range(self.meters)]

    def __iter__(self) -> Iterator[RefillOrder]:
        """Yield the refills. Those of a meter are close to each other, or far apart."""
        amounts = Counter[int]()
        each = -(-self.refills // self.meters)
        for number in range(self.refills):
            meter = number // each if number % 2 else number % self.meters
            amounts[meter] += 1
            yield RefillOrder(
                id=f"pay_{number}",
                workspace_id=WORKSPACE,
                external_meter_id=f"m{meter}",
                refill=amounts[meter],
            )

    def since(self, start: int) -> Iterator[RefillOrder]:
        """Yield all refills, beginning with one in the middle."""
        every = list(self)
        yield from every[start:]
        yield from every[:start]
