//! How the history is cut, and which slices train and test which.
//!
//! Owns index arithmetic alone. Must not look at a bar or an outcome.
//!
//! A slice loses its first bars, so that no window in it looks back into, and no trade is still held from, the
//! slice before: at least the longest window plus the longest hold (the purge). With that gap before every slice,
//! whichever slices train and whichever test, no outcome belongs to both (Lopez de Prado, "Advances in Financial
//! Machine Learning", 2018, chapter 7). The mean range of the last hundred bars and the temporal factor look back
//! a little further than a short purge: a training slice that follows a tested one may know from these how wild its
//! last bars were, never what a trade in it came to. What the user adds (the embargo) lets that fade too.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Slices to train on, and slices to test on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fold {
    pub train: Vec<usize>,
    pub test: Vec<usize>,
}

/// A history too short for its slices.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{bars} bars make no {slices} slices that each lose {gap} bars to purge and embargo and keep as many: at \
    least {needed} bars are needed"
)]
pub struct TooShort {
    pub bars: usize,
    pub slices: usize,
    pub gap: usize,
    pub needed: usize,
}

/// Cuts so many bars into equal slices, each without its first `purge + embargo` bars. Left-over bars go to
/// the first slices, one each. A slice must keep at least as many bars as it loses.
pub fn cut(bars: usize, slices: usize, purge: usize, embargo: usize) -> Result<Vec<Range<usize>>, TooShort> {
    let gap = purge.saturating_add(embargo);
    let needed = slices.max(1).saturating_mul(gap.saturating_mul(2).max(1));
    if slices == 0 || bars < needed {
        return Err(TooShort { bars, slices, gap, needed });
    }
    let (length, over) = (bars / slices, bars % slices);
    let start = |slice: usize| slice * length + slice.min(over);
    Ok((0..slices).map(|slice| start(slice) + gap..start(slice + 1)).collect())
}

/// Walk-forward: from the slice `first` on, each slice tests what was chosen on all those before it.
pub fn walk_forward(slices: usize, first: usize) -> Vec<Fold> {
    (first.max(1)..slices).map(|test| Fold { train: (0..test).collect(), test: vec![test] }).collect()
}

/// Combinatorial purged cross-validation: each choice of `tested` slices tests what was chosen on all others,
/// in lexicographic order (Lopez de Prado 2018, chapter 12). None where there would be nothing to train on.
pub fn combinatorial(slices: usize, tested: usize) -> Vec<Fold> {
    if tested == 0 || tested >= slices {
        return Vec::new();
    }
    let mut folds = Vec::new();
    let mut test: Vec<usize> = (0..tested).collect();
    loop {
        let train = (0..slices).filter(|slice| !test.contains(slice)).collect();
        folds.push(Fold { train, test: test.clone() });
        // The next combination: the last index that can grow grows, those after it follow it.
        let Some(grows) = (0..tested).rev().find(|&at| test[at] < slices - tested + at) else {
            return folds;
        };
        test[grows] += 1;
        for at in grows + 1..tested {
            test[at] = test[at - 1] + 1;
        }
    }
}

/// The paths through such folds: each path visits every slice once, each time as some fold's test; the n-th
/// path takes for each slice the n-th fold that tests it. A path is, by slice, the index of the fold.
pub fn paths(slices: usize, folds: &[Fold]) -> Vec<Vec<usize>> {
    let testing = |slice: usize| -> Vec<usize> {
        (0..folds.len()).filter(|&fold| folds[fold].test.contains(&slice)).collect()
    };
    let by_slice: Vec<Vec<usize>> = (0..slices).map(testing).collect();
    let count = by_slice.iter().map(Vec::len).min().unwrap_or(0);
    (0..count).map(|path| by_slice.iter().map(|folds| folds[path]).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::{Fold, TooShort, combinatorial, cut, paths, walk_forward};

    #[test]
    fn slices_lose_their_first_bars_to_purge_and_embargo() {
        assert_eq!(cut(32, 3, 3, 1).unwrap(), [4..11, 15..22, 26..32]);
        assert_eq!(cut(3, 3, 0, 0).unwrap(), [0..1, 1..2, 2..3]);
        let error = cut(23, 3, 3, 1).unwrap_err();
        assert_eq!(error, TooShort { bars: 23, slices: 3, gap: 4, needed: 24 });
        assert!(cut(10, 0, 0, 0).is_err());
    }

    /// However the slices are combined, a bar that is used, with what it looks back to and how long it is
    /// held, stays out of every other slice.
    #[test]
    fn no_bar_reaches_into_another_slice() {
        let (window, hold) = (11, 30);
        let slices = cut(5000, 16, window + hold, 0).unwrap();
        for pair in slices.windows(2) {
            // The last trade of a slice may be entered on its last bar and held to its end or, were it not
            // closed there, for the longest hold; the first window of the next begins after that.
            assert!(pair[1].start - window >= pair[0].end - 1 + hold);
        }
    }

    #[test]
    fn walking_forward() {
        let fold = |train: &[usize], test| Fold { train: train.to_vec(), test: vec![test] };
        assert_eq!(walk_forward(4, 2), [fold(&[0, 1], 2), fold(&[0, 1, 2], 3)]);
        assert_eq!(walk_forward(2, 0), [fold(&[0], 1)]);
    }

    /// 16 slices, 2 tested: 120 folds, 15 paths.
    #[test]
    fn combinations_and_their_paths() {
        let folds = combinatorial(16, 2);
        assert_eq!(folds.len(), 120);
        assert_eq!((&folds[0].test[..], &folds[119].test[..]), (&[0, 1][..], &[14, 15][..]));
        for fold in &folds {
            assert_eq!(fold.train.len(), 14);
            assert!(!fold.train.iter().any(|slice| fold.test.contains(slice)));
        }
        let paths = paths(16, &folds);
        assert_eq!(paths.len(), 15);
        let mut uses = vec![0; folds.len()];
        for path in &paths {
            for (slice, &fold) in path.iter().enumerate() {
                assert!(folds[fold].test.contains(&slice));
                uses[fold] += 1;
            }
        }
        assert!(uses.iter().all(|&uses| uses == 2), "each test slice of each fold lies on one path");
        assert_eq!(combinatorial(6, 3).len(), 20);
        assert!(combinatorial(4, 4).is_empty() && combinatorial(4, 0).is_empty());
    }
}
