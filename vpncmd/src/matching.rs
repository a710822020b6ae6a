//! Which name an abbreviated command or parameter means.

/// The positions in `names` of everything that `input` may stand for: an exact match (ignoring case) alone, otherwise
/// every candidate.
#[must_use]
pub fn candidates(input: &str, names: &[&str]) -> Vec<usize> {
    if let Some(exact) = names.iter().position(|name| name.eq_ignore_ascii_case(input)) {
        return vec![exact];
    }
    if input.is_empty() {
        return Vec::new();
    }
    (0..names.len())
        .filter(|&index| abbreviates(input, names[index]))
        .collect()
}

/// The three ways to shorten a name: its beginning, its capitals (`UL` for UserList), and its capitals followed by
/// its end (`uanonymousset`, `aconnect`).
fn abbreviates(input: &str, name: &str) -> bool {
    if starts_with(name, input) {
        return true;
    }
    let capitals: String = name
        .chars()
        .filter(|c| c.is_ascii_uppercase() || c.is_ascii_digit())
        .collect();
    // A name in capitals throughout, as parameters have, has no capital form.
    if capitals.is_empty() || capitals.len() == name.len() {
        return false;
    }
    starts_with(&capitals, input)
        || (starts_with(input, &capitals) && ends_with(name, &input[capitals.len()..]))
}

fn starts_with(text: &str, start: &str) -> bool {
    text.get(..start.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(start))
}

fn ends_with(text: &str, end: &str) -> bool {
    text.len()
        .checked_sub(end.len())
        .and_then(|at| text.get(at..))
        .is_some_and(|tail| tail.eq_ignore_ascii_case(end))
}

/// The name nearest to a mistyped one, when it is near enough to be meant.
#[must_use]
pub fn nearest<'a>(input: &str, names: &[&'a str]) -> Option<&'a str> {
    let limit = 1 + input.chars().count() / 4;
    names
        .iter()
        .map(|&name| {
            (
                distance(&input.to_ascii_lowercase(), &name.to_ascii_lowercase()),
                name,
            )
        })
        .filter(|&(distance, _)| distance <= limit)
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein's distance: insertions, deletions and replacements of one character.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &[
        "UserAnonymousSet",
        "UserCreate",
        "UserList",
        "Hub",
        "HubList",
        "HubDelete",
        "NatGet",
        "AcAdd6",
    ];

    fn found(input: &str) -> Vec<&'static str> {
        candidates(input, NAMES)
            .into_iter()
            .map(|index| NAMES[index])
            .collect()
    }

    #[test]
    fn an_exact_name_wins_over_longer_ones() {
        assert_eq!(found("hub"), ["Hub"]);
        assert_eq!(found("HUBLIST"), ["HubList"]);
    }

    #[test]
    fn beginnings_capitals_and_capitals_with_an_end_stand_for_a_name() {
        assert_eq!(found("UserL"), ["UserList"]);
        assert_eq!(found("ul"), ["UserList"]);
        assert_eq!(found("ulist"), ["UserList"]);
        assert_eq!(found("uasnonymousset"), ["UserAnonymousSet"]);
        assert_eq!(found("uasset"), ["UserAnonymousSet"]);
        assert_eq!(found("uasother"), [""; 0]);
        assert_eq!(found("aa6"), ["AcAdd6"]);
    }

    #[test]
    fn an_ambiguous_beginning_names_them_all() {
        assert_eq!(found("U"), ["UserAnonymousSet", "UserCreate", "UserList"]);
        assert_eq!(found("hubd"), ["HubDelete"]);
        assert_eq!(found("Foo"), [""; 0]);
        assert_eq!(found(""), [""; 0]);
    }

    #[test]
    fn parameters_in_capitals_are_shortened_at_the_end_only() {
        let names = ["GROUP", "REALNAME", "NOTE"];
        assert_eq!(candidates("real", &names), [1]);
        assert_eq!(candidates("name", &names), [0; 0]);
    }

    #[test]
    fn a_slip_of_the_finger_suggests_the_nearest_name() {
        assert_eq!(nearest("UserLsit", NAMES), Some("UserList"));
        assert_eq!(nearest("hublst", NAMES), Some("HubList"));
        assert_eq!(nearest("Frobnicate", NAMES), None);
    }

    #[test]
    fn a_name_in_another_script_matches_nothing() {
        assert_eq!(found("ユーザ"), [""; 0]);
    }
}
