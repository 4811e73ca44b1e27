import math
import time

from ..conftest import infrastructure, node


def test_a_thousand_nodes_cost_few_calls(world):
    world.handler.poll_seconds = (1.0, 5.0)
    world.define("web", boot_seconds=60, delete_seconds=5)
    begun = time.process_time()
    world.build(infrastructure(node("web", min=1000)))
    print(f"1000 nodes built in {time.process_time() - begun:.2f} CPU seconds")
    assert world.calls("create") == 1000
    # Looks 1 s apart at first, then a fiftieth of the time waited: they grow with its logarithm.
    ticks = 50 + math.log(60 / 50) / math.log(1.02)
    assert world.calls("describe") <= ticks + 20
    begun = time.process_time()
    world.destroy()
    print(f"and destroyed in {time.process_time() - begun:.2f}")
    assert world.calls("delete") < 100
    world.assert_nothing()
