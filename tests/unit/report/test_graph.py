"""The graph in both languages: what it shows, that it can be read, and that no text breaks out of its quotes."""

import re

import pytest

from occopus_core.report.graph import COLOURS, MOST_INSTANCES, NEUTRAL, TEXT, dot, mermaid
from occopus_core.store.records import Condition, Stage

ODD = 'a"b]\\#&<i>`x`{\n%%{end}'


@pytest.fixture
def shop(snapshot, instance):
    return snapshot(
        instance("web", 1, "10.0.0.1"),
        instance("web", 2, stage=Stage.BOOTING),
        instance("web", 3, "10.0.0.3", stage=Stage.DROPPING),
        instance("cache", 1, condition=Condition.AILING, unhealthy_since=1.0),
        instance("cache", 2),
        nodes=("web", "db", "cache"),
        targets={"web": 2, "db": 1, "cache": 2},
    )


def test_mermaid(shop):
    lines = mermaid(shop).split("\n")
    legend = lines.index('    subgraph legend["states"]')
    assert lines[:legend] == [
        "---",
        'title: "shop"',
        "---",
        "flowchart LR",
        '    subgraph n0["web 3/2, pending"]',
        "        direction LR",
        '        n0_0["web-1<br/>10.0.0.1<br/>ready"]:::ready',
        '        n0_1["web-2<br/>pending"]:::pending',
        '        n0_2["web-3<br/>10.0.0.3<br/>shutdown"]:::shutdown',
        "    end",
        f"    style n0 fill:#24292f,stroke:{COLOURS['pending']},stroke-width:3px,color:#ffffff",
        '    subgraph n1["db 0/1, absent"]',
        "        direction LR",
        '        n1_0["no instance"]:::absent',
        "    end",
        f"    style n1 fill:#24292f,stroke:{COLOURS['absent']},stroke-width:3px,color:#ffffff",
        '    subgraph n2["cache 2/2, temp_failed"]',
        "        direction LR",
        '        n2_0["cache-1<br/>temp_failed"]:::temp_failed',
        '        n2_1["cache-2<br/>ready"]:::ready',
        "    end",
        f"    style n2 fill:#24292f,stroke:{COLOURS['temp_failed']},stroke-width:3px,color:#ffffff",
    ]
    assert "    n0 --> n1" in lines
    for state, colour in COLOURS.items():
        assert any(re.fullmatch(rf' +legend_\d\["{state}"\]:::{state}', line) for line in lines)
        assert f"    classDef {state} fill:{colour},stroke:#ffffff,color:#ffffff" in lines


def test_dot(shop):
    lines = dot(shop).split("\n")
    assert lines[0] == 'digraph "shop" {'
    assert lines[-1] == "}"
    assert r'        graph [label="web 3/2, pending", fontsize=14, fontcolor="#ffffff"]' in lines
    assert rf'        n0_0 [label="web-1\n10.0.0.1\nready", fillcolor="{COLOURS["ready"]}"]' in lines
    assert rf'        n1_0 [label="no instance", fillcolor="{COLOURS["absent"]}"]' in lines
    assert "    n0_0 -> n1_0 [ltail=cluster_n0, lhead=cluster_n1]" in lines
    for number, (state, colour) in enumerate(COLOURS.items()):
        assert f'        legend_{number} [label="{state}", fillcolor="{colour}"]' in lines


@pytest.mark.parametrize("draw", [mermaid, dot])
def test_many_instances_are_summed_up(snapshot, instance, draw):
    rows = [instance("web", position) for position in range(1, MOST_INSTANCES + 1)]
    assert f"web-{MOST_INSTANCES}" in draw(snapshot(*rows))
    drawn = draw(snapshot(*rows, instance("web", 99, stage=Stage.BOOTING), targets={"web": 21, "db": 1}))
    assert "web-1" not in drawn
    assert re.findall(r'n0_\d ?\[(?:label=)?"(.*?)"', drawn) == [f"{MOST_INSTANCES} ready", "1 pending"]
    assert "web 21/21" in drawn


def test_odd_text_stays_text_in_mermaid(snapshot, instance):
    drawn = mermaid(snapshot(instance("web", 1, ODD), instance(ODD, 1)))
    encoded = "a#34;b#93;#92;#35;#38;#60;i#62;#96;x#96;#123; #37;#37;#123;end#125;"
    assert f'["web-1<br/>{encoded}<br/>ready"]:::ready' in drawn
    assert f'subgraph n2["{encoded} 1/0, ready"]' in drawn


def test_odd_text_stays_text_in_dot(snapshot, instance):
    drawn = dot(snapshot(instance("web", 1, ODD)))
    assert r'label="web-1\na\"b]\\#&amp;<i>`x`{ %%{end}\nready"' in drawn


@pytest.mark.parametrize("name", ["null", "123", "yes", "-"])
def test_the_title_is_text_whatever_it_looks_like(snapshot, name):
    assert mermaid(snapshot(name=name)).split("\n")[1] == f'title: "{name}"'
    assert dot(snapshot(name=name)).startswith(f'digraph "{name}" {{')


def luminance(colour):
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colour", [*COLOURS.values(), NEUTRAL])
def test_the_colours_can_be_read_on_light_and_on_dark_pages(colour):
    assert contrast(colour, TEXT) >= 4.5
    for page in ("#ffffff", "#0d1117", "#000000"):
        assert contrast(colour, page) >= 3
