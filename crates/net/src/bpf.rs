//! Programs for the kernel's BPF machines, assembled here, and the system call bpf(2).
//!
//! The kernel has two machines. The classic one ([`classic`]) has two registers and needs no
//! rights beyond those of the socket or link it filters for. The extended one ([`extended`]) can
//! look things up in tables that user space changes while it runs ([`system_call`]); it needs
//! CAP_BPF or CAP_SYS_ADMIN.

pub(crate) mod classic;
pub(crate) mod extended;
pub(crate) mod system_call;

/// A place in a program that jumps lead to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Label(usize);

/// A jump whose distance is not known yet.
#[derive(Debug)]
struct Jump<I> {
    position: usize,
    to: Label,
    /// Writes the distance, in instructions, counted from the one behind the jump.
    point: fn(&mut I, usize),
}

/// A program in the making. Both machines only jump forward.
#[derive(Debug)]
pub(crate) struct Program<I> {
    code: Vec<I>,
    places: Vec<usize>,
    jumps: Vec<Jump<I>>,
}

impl<I> Program<I> {
    pub(crate) fn new() -> Self {
        Self { code: Vec::new(), places: Vec::new(), jumps: Vec::new() }
    }

    /// A label, to be put somewhere with [`Program::place`].
    pub(crate) fn label(&mut self) -> Label {
        self.places.push(usize::MAX);
        Label(self.places.len() - 1)
    }

    /// Jumps to the label lead here.
    pub(crate) fn place(&mut self, label: Label) {
        let here = self.code.len();
        if let Some(place) = self.places.get_mut(label.0) {
            *place = here;
        }
    }

    fn push(&mut self, instruction: I) {
        self.code.push(instruction);
    }

    fn push_jump(&mut self, instruction: I, to: Label, point: fn(&mut I, usize)) {
        self.jumps.push(Jump { position: self.code.len(), to, point });
        self.push(instruction);
    }

    /// The program, its jumps pointed at their labels.
    pub(crate) fn finish(mut self) -> Vec<I> {
        for jump in self.jumps {
            let place = self.places.get(jump.to.0).copied().unwrap_or(usize::MAX);
            debug_assert!(place > jump.position && place < self.code.len(), "a label not placed");
            if let Some(instruction) = self.code.get_mut(jump.position) {
                (jump.point)(instruction, place.wrapping_sub(jump.position + 1));
            }
        }
        self.code
    }
}
