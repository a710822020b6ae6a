//! A command line: splitting what was typed into words, and writing words back as a line.

/// The words of a line. Blanks separate them, a double quote opens and closes a stretch in which they do not, and two
/// double quotes stand for one.
#[must_use]
pub fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if chars.peek() == Some(&'"') => {
                chars.next();
                word.get_or_insert_default().push('"');
            }
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            c if c.is_whitespace() && !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// The line that shows these words: those with blanks are quoted, quotes are doubled.
#[must_use]
pub fn join(words: &[String]) -> String {
    let shown = words.iter().map(|word| {
        let word = word.replace('"', "\"\"");
        if word.contains(char::is_whitespace) {
            format!("\"{word}\"")
        } else {
            word
        }
    });
    shown.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_separate_words_except_between_quotes() {
        let cases: &[(&str, &[&str])] = &[
            ("UserGet bob", &["UserGet", "bob"]),
            ("  UserGet \t bob  ", &["UserGet", "bob"]),
            (
                r#"UserSet bob /REALNAME:"Foo Bar" /NOTE:a""b"#,
                &["UserSet", "bob", "/REALNAME:Foo Bar", "/NOTE:a\"b"],
            ),
            (r#""/REALNAME:Foo ""Bar" x"#, &["/REALNAME:Foo \"Bar", "x"]),
            (r#"/NOTE:"x /GROUP:none"#, &["/NOTE:x /GROUP:none"]),
            ("", &[]),
        ];
        for (line, expected) in cases {
            assert_eq!(words(line), *expected, "{line}");
        }
    }

    #[test]
    fn joined_words_split_into_the_same_words() {
        let note = "/NOTE:line \"quoted\" \\ back\tTab".to_owned();
        let words_in = vec![
            "UserCreate".to_owned(),
            "pwuser".to_owned(),
            "/GROUP:staff".to_owned(),
            note,
        ];
        let line = join(&words_in);
        assert_eq!(
            line,
            "UserCreate pwuser /GROUP:staff \"/NOTE:line \"\"quoted\"\" \\ back\tTab\""
        );
        assert_eq!(words(&line), words_in);
    }
}
