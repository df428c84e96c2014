// One visitor for std::visit out of a lambda for each alternative.
#pragma once

namespace understudy {

template <typename... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};
template <typename... Fs>
Overloaded(Fs...) -> Overloaded<Fs...>;

}  // namespace understudy
