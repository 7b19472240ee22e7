//! Delta debugging: of a list, a part that is still enough [Zeller02].

/// A part of `items` for which `is_enough` holds, as it does for all of them, and from which nothing more of
/// the size that was tried last can be taken: single items, unless `is_enough` has had enough of being asked.
/// Of few items, no two either.
///
/// The empty part is tried first, then halves, then smaller pieces are taken out.
///
/// # Errors
/// Those of `is_enough`.
pub(super) fn ddmin<T: Clone>(
    items: &[T],
    mut is_enough: impl FnMut(&[T]) -> Result<bool, String>,
) -> Result<Vec<T>, String> {
    if items.is_empty() || is_enough(&[])? {
        return Ok(Vec::new());
    }
    let mut left = items.to_vec();
    let mut piece_count = 2;
    while left.len() > 1 {
        let size = left.len().div_ceil(piece_count);
        let mut has_shrunk = false;
        // From the end: what comes last is needed least, since the failure ends the run.
        let mut end = left.len();
        while end > 0 {
            let start = end.saturating_sub(size);
            let rest: Vec<T> = left[..start].iter().chain(&left[end..]).cloned().collect();
            if !rest.is_empty() && is_enough(&rest)? {
                left = rest;
                has_shrunk = true;
            }
            end = start;
        }
        if size == 1 && !has_shrunk {
            break;
        }
        piece_count = if has_shrunk { 2.max(piece_count - 1) } else { piece_count * 2 };
        piece_count = piece_count.min(left.len());
    }
    while let Some(fewer) = without_two(&left, &mut is_enough)? {
        left = fewer;
    }
    Ok(left)
}

/// Of so many items two at a time are tried: of twelve, 66 pairs.
const MOST_PAIRED: usize = 12;

/// The items without two that only matter together: a death, say, and what it kept another from seeing.
fn without_two<T: Clone>(
    items: &[T],
    is_enough: &mut impl FnMut(&[T]) -> Result<bool, String>,
) -> Result<Option<Vec<T>>, String> {
    if items.len() <= 2 || items.len() > MOST_PAIRED {
        return Ok(None);
    }
    for second in (1..items.len()).rev() {
        for first in (0..second).rev() {
            let mut rest = items.to_vec();
            rest.remove(second);
            rest.remove(first);
            if is_enough(&rest)? {
                return Ok(Some(rest));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needed(count: u32, needed: &[u32]) -> (Vec<u32>, u32) {
        let (items, mut asked): (Vec<u32>, _) = ((0..count).collect(), 0);
        let left = ddmin(&items, |part| {
            asked += 1;
            Ok(needed.iter().all(|item| part.contains(item)))
        });
        (left.unwrap(), asked)
    }

    #[test]
    fn what_is_left_is_needed() {
        assert!(needed(0, &[]).0.is_empty());
        assert_eq!(needed(1, &[0]).0, [0]);
        assert!(needed(100, &[]).0.is_empty());
        assert_eq!(needed(100, &[17]).0, [17]);
        assert_eq!(needed(100, &[0, 50, 99]).0, [0, 50, 99]);
        let (left, asked) = needed(1000, &[3, 500, 501, 999]);
        assert_eq!(left, [3, 500, 501, 999]);
        assert!(asked < 200, "{asked} runs");
    }

    #[test]
    fn what_only_matters_together_goes_together() {
        let items = [1, 2, 3, 4];
        let is_enough =
            |part: &[u32]| Ok(part.contains(&1) && part.contains(&2) == part.contains(&4));
        assert_eq!(ddmin(&items, is_enough).unwrap(), [1]);
        let pair_or_both = |part: &[u32]| {
            let has = |item| part.contains(&item);
            Ok(has(1) && has(3) && (has(2) == has(4)))
        };
        assert_eq!(ddmin(&items, pair_or_both).unwrap(), [1, 3]);
    }

    #[test]
    fn who_has_enough_of_it_keeps_what_was_enough() {
        let mut left = 5;
        let items: Vec<u32> = (0..64).collect();
        let part = ddmin(&items, |part| {
            left -= 1;
            Ok(left > 0 && part.contains(&9))
        });
        assert!(part.unwrap().contains(&9));
    }
}
