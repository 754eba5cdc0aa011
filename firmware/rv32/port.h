/* RV32 on QEMU's virt machine: output by semihosting, instructions by the counter minstret. */
#include <stddef.h>
#include <stdint.h>

extern uint8_t stack_limit[], stack_top[];

static inline int host(int operation, const void *argument)
{
    register int a0 __asm__("a0") = operation;
    register const void *a1 __asm__("a1") = argument;
    __asm__ volatile(".option push\n.option norvc\n.balign 16\nslli x0, x0, 0x1f\nebreak\n"
                     "srai x0, x0, 7\n.option pop"
                     : "+r"(a0)
                     : "r"(a1)
                     : "memory");
    return a0;
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

static inline uint32_t counter(void)
{
    uint32_t value;
    __asm__ volatile(".option push\n.option arch, +zicsr\ncsrr %0, minstret\n.option pop" : "=r"(value));
    return value;
}

static inline uint64_t passed(uint32_t begun, uint32_t ended)
{
    return (uint32_t)(ended - begun);
}
