/* The way to main: the image lies in memory as it is linked. */
#include <stdint.h>
#include <string.h>

extern uint8_t bss_begin[], bss_end[];
int main(void);
void begin(void);

__attribute__((naked, section(".start"), used)) void start(void)
{
    __asm__ volatile("la sp, stack_top\nj begin");
}

void begin(void)
{
    memset(bss_begin, 0, (size_t)(bss_end - bss_begin));
    main();
    for (;;) {
    }
}
