// Status and Result<T>: how a function says that it could not do its work.
//
// Bad input and failed I/O are Statuses, which callers must look at; a broken invariant of our own is a
// CHECK (common/check.h). OK is a null pointer, so that the good path costs one register. Values are
// immutable once made and may be passed between threads.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "common/check.h"

namespace understudy {

// Few on purpose: a code exists only where a caller acts differently on it.
enum class Code {
  kOk = 0,
  kInvalid,      // the input can never be accepted as it is
  kNotFound,     // what was named does not exist
  kConflict,     // somebody else changed it first, or it exists already
  kUnavailable,  // may work later: connection, time-out, overload
  kDenied,       // not allowed for this caller
  kExpired,      // the version asked for is no longer known (HTTP 410)
  kInternal,     // the other side answered something that its contract rules out
};

std::string_view CodeName(Code code);

class [[nodiscard]] Status {
 public:
  Status() = default;  // OK
  Status(Code code, std::string message)
      : rep_(std::make_shared<const Rep>(Rep{code, std::move(message)})) {
    CHECK(code != Code::kOk);
  }

  bool ok() const { return rep_ == nullptr; }
  Code code() const { return rep_ ? rep_->code : Code::kOk; }
  std::string_view message() const { return rep_ ? std::string_view(rep_->message) : ""; }

  // "context: message", for the way up.
  Status Prefixed(std::string_view context) const;
  // "not found: no such Pod", for logs.
  std::string ToString() const;

 private:
  struct Rep {
    Code code;
    std::string message;
  };
  std::shared_ptr<const Rep> rep_;
};

inline Status Invalid(std::string message) { return {Code::kInvalid, std::move(message)}; }
inline Status NotFound(std::string message) { return {Code::kNotFound, std::move(message)}; }
inline Status Conflict(std::string message) { return {Code::kConflict, std::move(message)}; }
inline Status Unavailable(std::string message) { return {Code::kUnavailable, std::move(message)}; }
inline Status Denied(std::string message) { return {Code::kDenied, std::move(message)}; }
inline Status Expired(std::string message) { return {Code::kExpired, std::move(message)}; }
inline Status Internal(std::string message) { return {Code::kInternal, std::move(message)}; }

// A value, or the Status that says why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}                                    // NOLINT
  Result(Status status) : status_(std::move(status)) { CHECK(!status_.ok()); }     // NOLINT

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }

  T& operator*() & { CHECK(ok()); return *value_; }
  const T& operator*() const& { CHECK(ok()); return *value_; }
  T&& operator*() && { CHECK(ok()); return *std::move(value_); }
  T* operator->() { CHECK(ok()); return &*value_; }
  const T* operator->() const { CHECK(ok()); return &*value_; }

 private:
  std::optional<T> value_;
  Status status_;
};

// Leaves the function with the Status if it is not OK.
#define RETURN_IF_ERROR(expr)                                        \
  do {                                                               \
    if (::understudy::Status status_of_expr_ = (expr); !status_of_expr_.ok()) return status_of_expr_; \
  } while (false)

}  // namespace understudy
