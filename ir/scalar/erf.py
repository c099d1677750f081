"""The error function written out in the primitives."""

from __future__ import annotations

from ..dtypes import float32
from .expression import Scalar, constant, exp, select
from .float import horner, with_sign_of

# erf(x) = x + x P(x^2) on [0, 1] and 1 - exp(L(x)) above, by Remez; relative error of erf at
# most 2^-29.4 and 2^-29.8 in float32, 2^-56.0 and 2^-59.5 in float64.
_NEAR_SINGLE = (0.12837916612625122, -0.3761262595653534, 0.11283578723669052,
                -0.026853347197175026, 0.005187162198126316, -0.0007997853099368513,
                7.806903886375949e-05)  # fmt: skip
_FAR_SINGLE = (-0.0003415264654904604, -1.1270891427993774, -0.6381449699401855,
               -0.10310658067464828, 0.021837951615452766, -0.0029476217459887266,
               0.00018637441098690033)  # fmt: skip
_NEAR_DOUBLE = (0.12837916709551256, -0.37612638903183343, 0.11283791670936949,
                -0.026866170641958394, 0.005223977596721359, -0.0008548325483639464,
                0.00012055280427514454, -1.4924463610925166e-05, 1.6444115236790316e-06,
                -1.618363199747208e-07, 1.3614733158330994e-08, -7.603338607340242e-10)  # fmt: skip
_FAR_DOUBLE = (-1.7960326718002366e-07, -1.1283773294306225, -0.6366284881576956,
               -0.10274725425976108, 0.019078159083758116, 0.00028048401840996437,
               -0.001768995830712064, 0.000641168712854912, -4.481986221557829e-05,
               -7.036796316043486e-05, 4.503790616026794e-05, -1.6514108547336495e-05,
               4.327087326597671e-06, -8.505844466413576e-07, 1.257068172222749e-07,
               -1.362695988684334e-08, 1.0257250727539654e-09, -4.7961766812433094e-11,
               1.0496577366243165e-12)  # fmt: skip


def expand_erf(x: Scalar) -> Scalar:
    """The error function; 1 beyond 4 in float32, 6 in float64."""
    single = x.dtype is float32
    a = abs(x)
    near = a + a * horner(a * a, _NEAR_SINGLE if single else _NEAR_DOUBLE)
    far = 1.0 - exp(horner(a, _FAR_SINGLE if single else _FAR_DOUBLE))
    above = select(a > (4.0 if single else 6.0), constant(1.0, x.dtype), far)
    return with_sign_of(select(a < 1.0, near, above), x)
