//! Who sits at the terminal, for the audit trail.

use nix::unistd::{Uid, User};

/// The person's name: who called sudo, else who logged in, else whose process this is.
#[must_use]
pub fn name() -> String {
    ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .filter_map(|variable| std::env::var(variable).ok())
        .find(|user| !user.trim().is_empty())
        .unwrap_or_else(|| name_of(Uid::effective()))
}

/// The name that this machine has for a user, else the number.
fn name_of(uid: Uid) -> String {
    match User::from_uid(uid) {
        Ok(Some(user)) => user.name,
        _ => format!("uid-{uid}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_without_a_name_is_told_by_number() {
        assert_eq!(name_of(Uid::from_raw(0)), "root");
        assert_eq!(name_of(Uid::from_raw(3_999_999_999)), "uid-3999999999");
    }
}
