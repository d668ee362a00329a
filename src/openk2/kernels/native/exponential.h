// e^x, the same for a value in whichever lane it lies.
#pragma once

// Included once in each instruction set's file, after its lanes.
namespace {

// Relative error below 3e-7; 0 below -87, e^88 above 88; NaN stays NaN.
inline Lanes::Float exponential(Lanes::Float x) {
  const Lanes::Float least = Lanes::set(-87.0f), most = Lanes::set(88.0f);
  // In this order of arguments NaN passes both.
  const Lanes::Float in = Lanes::min(most, Lanes::max(least, x));
  const Lanes::Float n = Lanes::round(Lanes::mul(in, Lanes::set(0x1.715476p+0f)));
  // ln 2 in two parts: n times the first is exact, so that a fused and a plain sum agree on it.
  Lanes::Float rest = Lanes::fma(n, Lanes::set(-0x1.62e4p-1f), in);
  rest = Lanes::fma(n, Lanes::set(-0x1.7f7d1cp-20f), rest);
  // Taylor's series: at most 0.35 away from zero its next term is 6e-9.
  Lanes::Float sum = Lanes::set(1.0f / 5040);
  constexpr float factorials[] = {720, 120, 24, 6, 2, 1, 1};
#pragma GCC unroll 7
  for (int i = 0; i < 7; i++) sum = Lanes::fma(sum, rest, Lanes::set(1 / factorials[i]));
  return Lanes::zero_below(least, x, Lanes::mul(sum, Lanes::power_of_two(n)));
}

}  // namespace
