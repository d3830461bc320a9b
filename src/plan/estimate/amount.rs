//! How much, as far as it is known beforehand.

/// How much, as far as it is known beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Amount {
    /// Surely not less, if nothing fails or is cut off.
    pub at_least: u64,
    /// How much it is likely to be.
    pub expected: Expected,
}

/// How much something is likely to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    /// Nobody knows.
    Unknown,
    /// About so much.
    About(u64),
    /// About so much or any amount less: the reader takes what turns out to be the cheaper way.
    UpTo(u64),
}

impl Amount {
    /// So much, and no doubt of it.
    #[must_use]
    pub fn known(amount: u64) -> Self {
        Self::about(amount, amount)
    }

    /// So much at least, and unknown beyond.
    #[must_use]
    pub fn at_least(amount: u64) -> Self {
        Self {
            at_least: amount,
            expected: Expected::Unknown,
        }
    }

    /// Surely not less than `at_least`, and about `amount`.
    #[must_use]
    pub fn about(at_least: u64, amount: u64) -> Self {
        Self {
            at_least,
            expected: Expected::About(amount.max(at_least)),
        }
    }

    /// Surely not less than `at_least`, and hardly more than `amount`.
    #[must_use]
    pub fn up_to(at_least: u64, amount: u64) -> Self {
        Self {
            at_least,
            expected: Expected::UpTo(amount.max(at_least)),
        }
    }

    /// The same, with what is expected not below what is sure.
    pub(super) fn consistent(self) -> Self {
        Self {
            expected: self.expected.map(|expected| expected.max(self.at_least)),
            ..self
        }
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            at_least: self.at_least.saturating_add(other.at_least),
            expected: self.expected.and(other.expected),
        }
    }
}

impl Expected {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.zip(other, u64::saturating_add)
    }

    /// The larger of both.
    pub(super) fn max(self, other: Self) -> Self {
        self.zip(other, u64::max)
    }

    /// The same with another number.
    pub(super) fn map(self, change: impl FnOnce(u64) -> u64) -> Self {
        match self {
            Self::Unknown => Self::Unknown,
            Self::About(amount) => Self::About(change(amount)),
            Self::UpTo(amount) => Self::UpTo(change(amount)),
        }
    }

    fn zip(self, other: Self, join: impl FnOnce(u64, u64) -> u64) -> Self {
        match (self, other) {
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::About(one), Self::About(other)) => Self::About(join(one, other)),
            (Self::About(one) | Self::UpTo(one), Self::About(other) | Self::UpTo(other)) => {
                Self::UpTo(join(one, other))
            }
        }
    }
}
