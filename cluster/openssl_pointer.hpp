// OpenSSL's things that are freed by a function of their own.
#pragma once

#include <memory>

#include <openssl/x509.h>

namespace reprise::cluster {

template <auto free>
struct OpensslDeleter {
  template <class T>
  void operator()(T* thing) const {
    free(thing);
  }
};
template <class T, auto free>
using OpensslPointer = std::unique_ptr<T, OpensslDeleter<free>>;

using Certificate = OpensslPointer<X509, X509_free>;

}  // namespace reprise::cluster
