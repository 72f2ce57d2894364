"""The catalogue has every exported model, in its order, and reads well."""

from __future__ import annotations

import inspect
from html.parser import HTMLParser

import pytest

import xmass as xm

CATEGORIES = ["phenomenological", "physiological", "network"]


def exported():
    found = [getattr(xm, name) for name in xm.__all__]
    return {c.__name__: c for c in found if inspect.isclass(c) and issubclass(c, xm.NeuralMass) and c is not xm.NeuralMass}


NETWORKS = {"HORNSeqLayer", "HORNSeqNetwork"}


def test_every_exported_model_is_listed_once_as_it_declares_itself():
    assert len(exported()) >= 11
    assert {r.name: tuple(r[1:]) for r in xm.list_models() if r.name not in NETWORKS} == {
        name: (c.category, len(c.states), c.use_case) for name, c in exported().items()
    }
    assert len(xm.list_models()) == len(exported()) + len(NETWORKS)


def test_the_trained_networks_are_listed_with_the_states_that_they_record():
    listed = {r.name: r for r in xm.list_models("network") if r.name in NETWORKS}
    assert set(listed) == NETWORKS
    layer, net = xm.HORNSeqLayer(3), xm.HORNSeqNetwork(3, 1)
    assert [r.name for r in layer.records] == [r.name for r in net.layers[0].records] == ["x", "y"]
    assert all(r.n_states == 2 and getattr(xm, name).__name__ == name for name, r in listed.items())


def test_some_records_are_as_the_papers_have_them():
    found = {r.name: r for r in xm.list_models()}
    assert found["HopfStep"] == ("HopfStep", "phenomenological", 2, "Oscillation onset, rhythm generation")
    assert found["LinearStep"].n_states == 1
    assert found["WongWangExcInhStep"].category == "physiological"


def test_categories_come_in_order_and_names_in_alphabetical_order_within():
    listed = [(CATEGORIES.index(r.category), r.name) for r in xm.list_models()]
    assert listed == sorted(listed)


@pytest.mark.parametrize("category", CATEGORIES[:2])
def test_a_category_alone(category):
    chosen = xm.list_models(category=category)
    assert chosen
    assert list(chosen) == [r for r in xm.list_models() if r.category == category]


def test_a_category_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(ValueError, match="category='spiking', needs one of 'phenomenological', 'physiological', 'network'"):
        xm.list_models(category="spiking")


def test_the_list_cannot_be_changed():
    with pytest.raises(TypeError):
        xm.list_models()[0] = None
    with pytest.raises(AttributeError):
        xm.list_models()[0].name = "other"


def test_the_table_is_markdown_with_a_row_for_each_model():
    lines = str(xm.list_models().to_table()).splitlines()
    assert [cell.strip() for cell in lines[0].strip("|").split("|")] == ["model", "category", "states", "use"]
    assert set(lines[1]) == {"|", "-", " "}
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[2:]]
    assert rows == [(r.name, r.category, str(r.n_states), r.use_case) for r in xm.list_models()]
    assert len({len(line) for line in lines}) == 1  # aligned


class Cells(HTMLParser):
    def __init__(self):
        super().__init__()
        self.rows = []

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])

    def handle_data(self, data):
        self.rows[-1].append(data)


def test_the_table_of_a_notebook_has_the_same_cells():
    parsed = Cells()
    parsed.feed(xm.list_models().to_table()._repr_html_())
    assert parsed.rows == [
        ["model", "category", "states", "use"],
        *([r.name, r.category, str(r.n_states), r.use_case] for r in xm.list_models()),
    ]
