// Borrowed: a value that somebody else owns, to be read.
//
// The classes of values own what their pointer leads to, but in the keyspace the pointer belongs to an entry. This puts
// such a class around it and takes it off again without freeing anything. Good as long as the owner leaves the value
// alone. Threads: those of the owner.
#pragma once

#include "node/types/encoding.h"

namespace understudy::types {

template <typename T>
class Borrowed {
 public:
  Borrowed(Encoding encoding, void* rep) : value_(T::Adopt(encoding, rep)) {}
  ~Borrowed() {}
  Borrowed(const Borrowed&) = delete;
  Borrowed& operator=(const Borrowed&) = delete;

  const T& operator*() const { return value_; }
  const T* operator->() const { return &value_; }

 private:
  union {
    T value_;  // never destroyed
  };
};

}  // namespace understudy::types
