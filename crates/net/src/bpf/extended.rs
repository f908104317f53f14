//! Extended BPF: eleven registers of 64 bits, a stack, calls into the kernel (RFC 9669).
//!
//! Frames are read with the instructions inherited from classic BPF, which turn the network's
//! byte order into the host's and end the program with 0 when they reach behind the end of the
//! frame. They want the context in [`R6`], leave what they read in [`R0`] and spoil R1 to R5.

use super::{Label, Program};

/// A register. R0 holds results, R1 to R5 arguments, which a call spoils.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Register(u8);

pub(crate) const R0: Register = Register(0);
pub(crate) const R1: Register = Register(1);
pub(crate) const R2: Register = Register(2);
pub(crate) const R6: Register = Register(6);
pub(crate) const R7: Register = Register(7);
/// The end of the stack. What is on it has a negative offset.
pub(crate) const R10: Register = Register(10);

/// One instruction (`struct bpf_insn`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    value: i32,
}

// What libc does not have of linux/bpf.h.
const ALU64: u32 = 0x07;
const MOV: u32 = 0xb0;
const DOUBLE: u32 = 0x18;
const JNE: u32 = 0x50;
const CALL: u32 = 0x80;
const EXIT: u32 = 0x90;
const PSEUDO_MAP_FD: u8 = 1;

/// How much is read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    Byte,
    Half,
    Word,
    Double,
}

impl Size {
    fn bits(self) -> u32 {
        match self {
            Size::Byte => libc::BPF_B,
            Size::Half => libc::BPF_H,
            Size::Word => libc::BPF_W,
            Size::Double => DOUBLE,
        }
    }
}

/// What is done to a register with a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alu {
    Set,
    Add,
    And,
    ShiftLeft,
    ShiftRight,
}

/// What a jump depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Test {
    Equal,
    NotEqual,
    /// One of the bits at least.
    Bits,
}

impl Test {
    fn bits(self) -> u32 {
        match self {
            Test::Equal => libc::BPF_JEQ,
            Test::NotEqual => JNE,
            Test::Bits => libc::BPF_JSET,
        }
    }
}

/// What the kernel does for a program (`BPF_FUNC_…`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Helper {
    /// R0 = where the value of the map in R1 for the key at R2 is; 0 if there is none.
    LookUp = 1,
}

fn instruction(code: u32, to: Register, from: Register, offset: i16, value: i32) -> Instruction {
    // Two bit fields in C, which lie the other way round on a big-endian machine.
    let registers =
        if cfg!(target_endian = "little") { from.0 << 4 | to.0 } else { to.0 << 4 | from.0 };
    Instruction { code: code as u8, registers, offset, value }
}

impl Program<Instruction> {
    /// `to = from`
    pub(crate) fn copy(&mut self, to: Register, from: Register) {
        self.push(instruction(ALU64 | MOV | libc::BPF_X, to, from, 0, 0));
    }

    /// `to |= from`
    pub(crate) fn or(&mut self, to: Register, from: Register) {
        self.push(instruction(ALU64 | libc::BPF_OR | libc::BPF_X, to, from, 0, 0));
    }

    /// `register op= value`, in 64 bits; the value is sign-extended.
    pub(crate) fn alu(&mut self, register: Register, alu: Alu, value: i32) {
        let bits = match alu {
            Alu::Set => MOV,
            Alu::Add => libc::BPF_ADD,
            Alu::And => libc::BPF_AND,
            Alu::ShiftLeft => libc::BPF_LSH,
            Alu::ShiftRight => libc::BPF_RSH,
        };
        self.push(instruction(ALU64 | bits | libc::BPF_K, register, R0, 0, value));
    }

    /// R0 = what is in the frame at that offset, in host byte order.
    pub(crate) fn frame(&mut self, size: Size, offset: i32) {
        let code = libc::BPF_LD | libc::BPF_ABS | size.bits();
        self.push(instruction(code, R0, R0, 0, offset));
    }

    /// R0 = what is in the frame at that offset behind the one in the register.
    pub(crate) fn frame_behind(&mut self, size: Size, register: Register, offset: i32) {
        let code = libc::BPF_LD | libc::BPF_IND | size.bits();
        self.push(instruction(code, R0, register, 0, offset));
    }

    /// `to = *(from + offset)`
    pub(crate) fn load(&mut self, size: Size, to: Register, from: Register, offset: i16) {
        let code = libc::BPF_LDX | libc::BPF_MEM | size.bits();
        self.push(instruction(code, to, from, offset, 0));
    }

    /// `*(to + offset) = from`
    pub(crate) fn store(&mut self, size: Size, to: Register, offset: i16, from: Register) {
        let code = libc::BPF_STX | libc::BPF_MEM | size.bits();
        self.push(instruction(code, to, from, offset, 0));
    }

    /// R0 = where the value for the key at that offset of the stack is, 0 if there is none.
    pub(crate) fn look_up(&mut self, map: i32, key: i16) {
        let load_map = libc::BPF_LD | libc::BPF_IMM | DOUBLE;
        self.push(instruction(load_map, R1, Register(PSEUDO_MAP_FD), 0, map));
        self.push(instruction(0, R0, R0, 0, 0)); // the upper half of the 64 bits
        self.copy(R2, R10);
        self.alu(R2, Alu::Add, key.into());
        self.push(instruction(libc::BPF_JMP | CALL, R0, R0, 0, Helper::LookUp as i32));
    }

    /// Goes to the label if the test of the register against the value holds.
    pub(crate) fn jump_if(&mut self, register: Register, test: Test, value: i32, to: Label) {
        let code = libc::BPF_JMP | test.bits() | libc::BPF_K;
        self.push_jump(instruction(code, register, R0, 0, value), to, point);
    }

    /// Goes to the label if the test of one register against the other holds.
    pub(crate) fn jump_if_both(&mut self, a: Register, test: Test, b: Register, to: Label) {
        let code = libc::BPF_JMP | test.bits() | libc::BPF_X;
        self.push_jump(instruction(code, a, b, 0, 0), to, point);
    }

    /// Ends the program with that result.
    pub(crate) fn exit(&mut self, result: i32) {
        self.alu(R0, Alu::Set, result);
        self.push(instruction(libc::BPF_JMP | EXIT, R0, R0, 0, 0));
    }
}

fn point(jump: &mut Instruction, distance: usize) {
    debug_assert!(distance <= 32_767, "a jump too far");
    jump.offset = i16::try_from(distance).unwrap_or(i16::MAX);
}
