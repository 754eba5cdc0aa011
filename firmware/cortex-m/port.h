/* Cortex-M on an MPS2 board (mps2-an386): output by semihosting, time by SysTick. */
#include <stddef.h>
#include <stdint.h>

extern uint8_t stack_limit[], stack_top[];

static inline int host(int operation, const void *argument)
{
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static inline void print(const char *text)
{
    host(0x04, text); /* SYS_WRITE0 */
}

static inline void leave(int status)
{
    const uint32_t block[2] = {0x20026, (uint32_t)status}; /* ADP_Stopped_ApplicationExit */
    host(0x20, block);                                     /* SYS_EXIT_EXTENDED */
}

/* SysTick counts down 24 bits at 25 MHz. Under `-icount shift=0` an instruction takes 1 ns. */
#define SYSTICK ((volatile uint32_t *)0xE000E010)

static inline uint32_t counter(void)
{
    SYSTICK[1] = 0xFFFFFF;
    if ((SYSTICK[0] & 1) == 0) {
        SYSTICK[2] = 0;
        SYSTICK[0] = 5; /* on, from the processor's clock */
    }
    return SYSTICK[2];
}

static inline uint64_t passed(uint32_t begun, uint32_t ended)
{
    return (uint64_t)((begun - ended) & 0xFFFFFF) * 40;
}
