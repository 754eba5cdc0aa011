
#ifndef @NAME@_CHUNK
#ifdef @NAME@_WATCH
#define @NAME@_CHUNK 1
#else
#define @NAME@_CHUNK @CHUNK@ /* steps at once */
#endif
#endif
