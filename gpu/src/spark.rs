//! A line of numbers as a line of characters.
//!
//! Owns the drawing alone; must not know what the numbers mean.

/// The characters, lowest first.
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Draws numbers, oldest first, in at most `width` characters: of more numbers than that, the last of each
/// stretch counts, so that the end of the line is the last number. The lowest number is drawn lowest, the
/// highest highest; where all are the same, in the middle.
pub fn line(numbers: &[f64], width: usize) -> String {
    let shown = width.min(numbers.len());
    let picked: Vec<f64> = (1..=shown).map(|at| numbers[at * numbers.len() / shown - 1]).collect();
    let low = picked.iter().copied().fold(f64::INFINITY, f64::min);
    let high = picked.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let level = |number: &f64| {
        let share = if high > low { (number - low) / (high - low) } else { 0.5 };
        // How many of the seven steps between the levels the number has reached.
        let reached = (1..LEVELS.len()).filter(|step| share * 7.0 >= *step as f64 - 0.5).count();
        LEVELS[reached]
    };
    picked.iter().map(level).collect()
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn every_level_is_drawn() {
        assert_eq!(line(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], 80), "▁▂▃▄▅▆▇█");
        assert_eq!(line(&[10_000.0, 9_000.0, 9_500.0, 12_000.0], 80), "▃▁▂█");
    }

    #[test]
    fn a_long_line_is_drawn_short_and_ends_where_it_ends() {
        let numbers: Vec<f64> = (0..1000).map(f64::from).collect();
        assert_eq!(line(&numbers, 8), "▁▂▃▄▅▆▇█");
        assert_eq!(line(&numbers, 1), "▅");
    }

    #[test]
    fn nothing_and_sameness_are_drawn_too() {
        assert_eq!(line(&[], 10), "");
        assert_eq!(line(&[1.0], 0), "");
        assert_eq!(line(&[3.0, 3.0, 3.0], 10), "▅▅▅");
    }
}
