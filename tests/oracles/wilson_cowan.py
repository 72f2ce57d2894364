"""The Wilson-Cowan family as plain NumPy functions, written from the papers with their numbers in them, not from the classes.

Each takes its states, then the inputs inside F, and returns the derivatives per ms. Complex numbers pass through, for derivatives by
complex step.
"""

from __future__ import annotations

import numpy as np


def sigma(z):
    return 1 / (1 + np.exp(-z))


def F(x, a, theta):
    return sigma(a * (x - theta)) - sigma(-a * theta)


def positive(x):
    return np.where(np.real(x) > 0, x, 0)


def base(E, I, P, Q, c1=12, c2=4, c3=13, c4=11):
    return [-E + (1 - E) * F(c1 * E - c2 * I + P, 1.2, 2.8), -I + (1 - I) * F(c3 * E - c4 * I + Q, 1, 4)]


def no_saturation(E, I, P, Q):
    return [-E + F(12 * E - 4 * I + P, 1.2, 2.8), -I + F(13 * E - 11 * I + Q, 1, 4)]


def symmetric(E, I, P, Q):
    return [-E + (1 - E) * F(12 * E - 4 * I + P, 1.1, 3.4), -I + (1 - I) * F(13 * E - 11 * I + Q, 1.1, 3.4)]


def simplified(E, I, P, Q):
    return [-E + (1 - E) * F(8 * E - 12 * I + P, 1.2, 2.8), -I + (1 - I) * F(8 * E - 12 * I + Q, 1, 4)]


def linear(E, I, P, Q):
    return [-E + (1 - E) * positive(0.8 * E - 0.3 * I + P), -I + (1 - I) * positive(E - 0.85 * I + Q)]


def divisive(E, I, P, Q):
    return [-E + (1 - E) / (1 + 6.5 * I) * F(6 * E + P, 1.2, 2.8), -I + (1 - I) / (1 + 5.5 * I) * F(2 * E + Q, 1, 4)]


def divisive_input(E, I, P, Q):
    return [-E + (1 - E) * F(6 * E / (1 + 6.5 * I) + P, 1.2, 2.8), -I + (1 - I) * F(2 * E / (1 + 5.5 * I) + Q, 1, 4)]


def adaptive(E, I, A, B, P, Q, c2=4, c3=13, b=0.1):
    return [*base(E, I, P - A, Q - B, c2=c2, c3=c3), (-A + b * E) / 100, (-B + 0.08 * I) / 80]


def three(E, I, M, P, Q, R, c2=4, c3=13):
    rest = (-M + (1 - M) * F(8 * E - 6 * I + 2 * M + R, 1, 3.5)) / 2
    return [*base(E, I, P + 4 * M, Q + 2 * M, c2=c2, c3=c3), rest]


def full_form(E, I, P, Q, p, shift):
    """The form of Sanz-Leon et al. (2015) with its names: b is the threshold of S, theta is subtracted from the input."""

    def S(x, c, a, b):
        return c * (sigma(a * (x - b)) - (sigma(-a * b) if shift else 0.0))

    x_e = p["alpha_e"] * (p["c_ee"] * E - p["c_ei"] * I + p["P"] + P - p["theta_e"])
    x_i = p["alpha_i"] * (p["c_ie"] * E - p["c_ii"] * I + p["Q"] + Q - p["theta_i"])
    dE = (-E + (p["k_e"] - p["r_e"] * E) * S(x_e, p["c_e"], p["a_e"], p["b_e"])) / p["tau_e"]
    dI = (-I + (p["k_i"] - p["r_i"] * I) * S(x_i, p["c_i"], p["a_i"], p["b_i"])) / p["tau_i"]
    return [dE, dI]
