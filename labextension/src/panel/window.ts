/** Which rows of a long list are drawn: those that are seen, and some around them. */

import React, { useLayoutEffect, useState } from 'react';

/** Rows that are drawn above and below what is seen; the window moves in steps of half as many. */
const SPARE = 12;

/** Pixels of a row before one was measured. */
const HEIGHT = 44;

/** Part of a list: the first row that is drawn, and the one after the last. */
export interface IWindow {
  readonly first: number;
  readonly end: number;
  /** Pixels of a row. */
  readonly height: number;
}

/**
 * Follow which rows of a list can be seen.
 *
 * All rows have the same height, which is measured. `scroller` selects the element around the list
 * that scrolls.
 */
export function useWindow(
  list: React.RefObject<HTMLElement>,
  count: number,
  scroller: string
): IWindow {
  const [window, move] = useState<IWindow>({ first: 0, end: 2 * SPARE, height: HEIGHT });
  const look = () => {
    const [inner, outer] = around(list, scroller);
    if (inner && outer) {
      move(before => same(before, seen(inner, outer, before.height)));
    }
  };
  useLayoutEffect(() => {
    const [, outer] = around(list, scroller);
    const sizes = new ResizeObserver(look);
    [outer, ...(outer?.children ?? [])].forEach(one => one && sizes.observe(one));
    outer?.addEventListener('scroll', look, { passive: true });
    look();
    return () => {
      sizes.disconnect();
      outer?.removeEventListener('scroll', look);
    };
  }, [list, scroller, count === 0]);
  const end = Math.min(count, window.end);
  return { ...window, first: Math.min(window.first, end), end };
}

/** The list, and what scrolls around it; nothing where it is not there. */
function around(list: React.RefObject<HTMLElement>, scroller: string) {
  return [list.current, list.current?.closest<HTMLElement>(scroller)] as const;
}

/** Tell which rows can be seen now. */
function seen(inner: HTMLElement, outer: HTMLElement, before: number): IWindow {
  const height = inner.querySelector<HTMLElement>(':scope > li')?.offsetHeight || before;
  const above = outer.getBoundingClientRect().top - inner.getBoundingClientRect().top;
  const step = SPARE / 2;
  const first = Math.floor(above / height / step) * step - SPARE;
  const end = Math.ceil((above + outer.clientHeight) / height / step) * step + SPARE;
  return { first: Math.max(0, first), end: Math.max(0, end), height };
}

/** The window of before where it is equal, so that nothing is drawn anew. */
function same(before: IWindow, now: IWindow): IWindow {
  const equal =
    before.first === now.first && before.end === now.end && before.height === now.height;
  return equal ? before : now;
}
