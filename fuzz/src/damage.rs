//! Damage to inputs: the same inputs for the same seed, on every machine.

/// Pieces that mean something to one of the readers.
const PIECES: &[&str] = &[
    "{{ ",
    " }}",
    "{{text}}",
    "{{ secret }}",
    "{{ lines }}",
    "{{ssm:a}}",
    "&a ",
    "*a",
    "!!str ",
    "<<: ",
    "- ",
    ": ",
    "\n",
    "\r\n",
    "---\n",
    "? ",
    "|\n",
    ">-\n",
    "#",
    "'",
    "\"",
    "\\",
    "`",
    "$(",
    "${",
    "$((",
    "<<'E'\n",
    "@\"\n",
    "\"@",
    "<#",
    "#>",
    "[",
    "]",
    "{",
    "}",
    ",",
    "null",
    "true",
    "1e999",
    "-0",
    "0x10",
    "\u{0}",
    "\u{1}",
    "\u{2}",
    "é",
    "\u{1f600}",
    "\u{feff}",
    "\"type\":\"StringMap\"",
    "\"allowedPattern\":\"(a+)+$\"",
    "(?=x)",
    "[^]",
    "\\p{L}",
    "finallyStep",
    "precondition",
    "*",
    "?",
    "${*}",
    "${aws:username}",
    "arn:aws:ssm:*:*:",
    "\"NotResource\"",
    "\"Deny\"",
    "IfExists",
    "ForAllValues:",
];

/// A source of numbers that looks random.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The same numbers for the same seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// One of `0..end`; 0 if there is none.
    pub fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        usize::try_from(self.roll() % end).unwrap_or_default()
    }
}

/// One of the seeds, damaged in one to six places.
#[must_use]
pub fn damaged(seeds: &[Vec<u8>], dice: &mut Dice) -> Vec<u8> {
    let mut input = seeds[dice.below(seeds.len())].clone();
    for _ in 0..=dice.below(6) {
        let at = dice.below(input.len() + 1);
        let until = (at + dice.below(32)).min(input.len());
        match dice.below(6) {
            0 if at < input.len() => input[at] = u8::try_from(dice.below(256)).unwrap_or_default(),
            1 => drop(input.drain(at..until)),
            2 => {
                let piece = input[at..until].to_vec();
                let there = dice.below(input.len() + 1);
                input.splice(there..there, piece);
            }
            3 => {
                let other = &seeds[dice.below(seeds.len())];
                let from = dice.below(other.len() + 1);
                let piece = other[from..(from + dice.below(64)).min(other.len())].to_vec();
                input.splice(at..until, piece);
            }
            _ => {
                let piece = PIECES[dice.below(PIECES.len())].bytes();
                input.splice(at..at, piece);
            }
        }
    }
    input
}
