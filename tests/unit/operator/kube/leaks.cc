// What LeakSanitizer is to overlook in this program: threads of cpprestsdk's pool, which never end, keep OpenSSL's
// state of a thread, and its pool forgets them when the process exits. The frames below libcrypto are not known.
extern "C" const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() { return "leak:libcrypto.so\n"; }
