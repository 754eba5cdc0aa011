/* Vectors, and the way to main: variables are copied from flash, the rest is 0. */
#include <stdint.h>
#include <string.h>

extern uint8_t stack_top[], data_from[], data_begin[], data_end[], bss_begin[], bss_end[];
int main(void);
void start(void);
void stop(void);

__attribute__((section(".vectors"), used)) static void *const vectors[16] = {
    stack_top, start, stop, stop, stop, stop, stop, 0, 0, 0, 0, stop, stop, 0, stop, stop,
};

void start(void)
{
    memcpy(data_begin, data_from, (size_t)(data_end - data_begin));
    memset(bss_begin, 0, (size_t)(bss_end - bss_begin));
    main();
    stop();
}

void stop(void)
{
    for (;;) {
    }
}
