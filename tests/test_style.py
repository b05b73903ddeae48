"""Colours: stable, and told apart by every kind of sight."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from matplotlib import colors

import traceanalytics as ta
from traceanalytics.plot.style import DARK, LIGHT, NO_SERVICE, PALETTE, service_color, service_patterns, theme_named

# Viénot, Brettel and Mollon (1999): linear RGB as seen by people without one kind of cone.
SIGHT = {
    "normal": np.eye(3),
    "protanopia": np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]]),
    "deuteranopia": np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]]),
}


def linear(color):
    rgb = np.array(colors.to_rgb(color))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    xyz = (
        np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
        @ rgb
        / [0.9505, 1, 1.089]
    )
    f = np.where(xyz > 0.008856, np.cbrt(np.clip(xyz, 0, None)), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(a, b, sight):
    return float(np.linalg.norm(lab(SIGHT[sight] @ linear(a)) - lab(SIGHT[sight] @ linear(b))))


def contrast(a, b):
    light, dark = sorted((np.array([0.2126, 0.7152, 0.0722]) @ linear(c) for c in (a, b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.fixture(params=[LIGHT, DARK], ids=["light", "dark"])
def theme(request):
    return request.param


@pytest.mark.parametrize("sight", SIGHT)
def test_the_colours_of_services_are_told_apart(sight):
    first = PALETTE[:8]
    assert min(distance(a, b, sight) for a, b in itertools.combinations(first, 2)) > 10
    assert min(distance(a, b, sight) for a, b in itertools.combinations(PALETTE, 2)) > 5


def test_the_colour_of_errors_is_no_service(theme):
    assert min(distance(theme.error, c, "normal") for c in PALETTE) > 20
    # To some it looks like olive, which is why errors bear a mark besides: see test_plot_waterfall.py.


def test_text_is_readable(theme):
    assert contrast(theme.text, theme.background) > 7
    assert min(contrast(color, theme.band) for color in (theme.muted, theme.error)) > 4.5


def test_bars_have_edges_that_are_seen_on_the_background(theme):
    assert min(contrast(theme.outline(color), theme.background) for color in PALETTE) > 3


def test_only_two_themes_exist():
    assert (theme_named("light"), theme_named("dark")) == (LIGHT, DARK)
    with pytest.raises(ta.OptionError, match="theme='sepia'"):
        theme_named("sepia")


def test_services_of_one_colour_get_different_patterns_whatever_their_order():
    same = [name for name in (f"service-{i}" for i in range(60)) if service_color(name) == PALETTE[0]]
    assert len(same) > 2
    patterns = service_patterns([*reversed(same), None, "cart"])
    assert [patterns[name] for name in sorted(same)][:3] == ["", "////", "...."]
    assert patterns[None] == ""


def test_the_colour_of_a_service_is_a_stable_hash_of_its_name():
    assert [service_color(name) for name in ("api-gateway", "cart", "pricing", "payment")] == [
        "#676000",
        "#782d5a",
        "#0072b2",
        "#f8a1d1",
    ]
    assert service_color(None) == NO_SERVICE
    assert len({service_color(f"service-{i}") for i in range(400)}) == len(PALETTE)


def test_colours_can_be_chosen():
    ta.options.service_colors = {"cart": "gold"}
    assert service_color("cart") == "#ffd700"
    ta.options.service_colors = {"cart": "no such colour"}
    with pytest.raises(ta.OptionError, match="'no such colour', which is no colour"):
        service_color("cart")
