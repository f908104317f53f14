//! Classic BPF: an accumulator A, an index X, sixteen words of memory.
//!
//! A load from behind the end of the frame ends the program with 0.

use super::{Label, Program};

/// One instruction (`struct sock_filter`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub(crate) code: u16,
    pub(crate) if_true: u8,
    pub(crate) if_false: u8,
    pub(crate) k: u32,
}

impl Instruction {
    /// As the kernel takes it.
    pub(crate) fn bytes(self) -> [u8; 8] {
        let [a, b] = self.code.to_ne_bytes();
        let [e, f, g, h] = self.k.to_ne_bytes();
        [a, b, self.if_true, self.if_false, e, f, g, h]
    }
}

const fn code(bits: u32) -> u16 {
    bits as u16
}

pub(crate) const HALF: u16 = code(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS);
pub(crate) const HALF_BEHIND_X: u16 = code(libc::BPF_LD | libc::BPF_H | libc::BPF_IND);
pub(crate) const BYTE_BEHIND_X: u16 = code(libc::BPF_LD | libc::BPF_B | libc::BPF_IND);
pub(crate) const LENGTH: u16 = code(libc::BPF_LD | libc::BPF_W | libc::BPF_LEN);
pub(crate) const CONSTANT: u16 = code(libc::BPF_LD | libc::BPF_W | libc::BPF_IMM);
pub(crate) const FROM_MEMORY: u16 = code(libc::BPF_LD | libc::BPF_W | libc::BPF_MEM);
pub(crate) const TO_MEMORY: u16 = code(libc::BPF_ST);
pub(crate) const X: u16 = code(libc::BPF_LDX | libc::BPF_W | libc::BPF_IMM);
pub(crate) const X_FROM_A: u16 = code(libc::BPF_MISC | libc::BPF_TAX);
pub(crate) const A_FROM_X: u16 = code(libc::BPF_MISC | libc::BPF_TXA);
pub(crate) const ADD: u16 = code(libc::BPF_ALU | libc::BPF_ADD | libc::BPF_K);
pub(crate) const ADD_X: u16 = code(libc::BPF_ALU | libc::BPF_ADD | libc::BPF_X);
pub(crate) const SUBTRACT: u16 = code(libc::BPF_ALU | libc::BPF_SUB | libc::BPF_K);
pub(crate) const SUBTRACT_X: u16 = code(libc::BPF_ALU | libc::BPF_SUB | libc::BPF_X);
pub(crate) const AND: u16 = code(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K);
pub(crate) const SHIFT_LEFT: u16 = code(libc::BPF_ALU | libc::BPF_LSH | libc::BPF_K);
pub(crate) const JUMP: u16 = code(libc::BPF_JMP | libc::BPF_JA);
pub(crate) const JUMP_IF_EQUAL: u16 = code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K);
pub(crate) const JUMP_IF_BITS: u16 = code(libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K);
pub(crate) const RETURN: u16 = code(libc::BPF_RET | libc::BPF_K);

impl Program<Instruction> {
    /// An instruction that is no jump.
    pub(crate) fn put(&mut self, code: u16, k: u32) {
        self.push(Instruction { code, if_true: 0, if_false: 0, k });
    }

    /// Goes to the label if the test holds, and on otherwise.
    pub(crate) fn jump_if(&mut self, test: u16, k: u32, to: Label) {
        let instruction = Instruction { code: test, if_true: 0, if_false: 0, k };
        self.push_jump(instruction, to, |jump, distance| jump.if_true = short(distance));
    }

    /// Goes to the label if the test does not hold, and on otherwise.
    pub(crate) fn jump_unless(&mut self, test: u16, k: u32, to: Label) {
        let instruction = Instruction { code: test, if_true: 0, if_false: 0, k };
        self.push_jump(instruction, to, |jump, distance| jump.if_false = short(distance));
    }

    /// Goes to the label.
    pub(crate) fn jump(&mut self, to: Label) {
        let instruction = Instruction { code: JUMP, if_true: 0, if_false: 0, k: 0 };
        self.push_jump(instruction, to, |jump, distance| {
            jump.k = u32::try_from(distance).unwrap_or(u32::MAX);
        });
    }
}

/// A test's jump reaches 255 instructions.
fn short(distance: usize) -> u8 {
    debug_assert!(distance <= 255, "a jump too far");
    u8::try_from(distance).unwrap_or(u8::MAX)
}
