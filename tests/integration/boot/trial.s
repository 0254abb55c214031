# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The sector by which plugins/module_utils/_guest/boot/trial.py tries KVM:
#   as -o trial.o trial.s && ld -m elf_x86_64 -Ttext 0x7c00 --oformat binary -o trial.bin trial.o
.code16
.globl start
start:
 cli
 xorw %ax,%ax
 movw %ax,%ds
 movw %ax,%es
 movw %ax,%ss
 cld
 movl $0x1000,%edi
 movl %edi,%cr3
 movl $0xc00,%ecx
 xorl %eax,%eax
 rep stosl
 movw $0x2003,0x1000
 movw $0x3003,0x2000
 movw $0x83,0x3000
 movl $0x620,%eax
 movl %eax,%cr4
 movl $0xc0000080,%ecx
 rdmsr
 orw $0x100,%ax
 wrmsr
 lgdtw gdtr
 movl $0x80000011,%eax
 movl %eax,%cr0
 ljmpw $8,$long
.code64
long:
 movl $0x5000,%edi
 xorl %eax,%eax
 xorl %edx,%edx
 movl $0x5a,%ebx
 xorl %ecx,%ecx
 lock cmpxchg16b (%rdi)
 jnz halt
 movups (%rdi),%xmm0
 movups %xmm0,16(%rdi)
 cmpb $0x5a,16(%rdi)
 jne halt
 movl $text,%esi
next:
 movl $0x3fd,%edx
wait:
 inb %dx,%al
 testb $0x20,%al
 jz wait
 movb $0xf8,%dl
 lodsb
 outb %al,%dx
 testb %al,%al
 jnz next
halt:
 hlt
 jmp halt
text: .asciz "VDISK64\n"
.balign 8
gdt: .quad 0, 0x00209a0000000000
gdtr: .word gdtr-gdt-1
 .long gdt
