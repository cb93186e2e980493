// Runs before the page is painted, so that it does not flash in the other colours.
{
  const chosen = localStorage.getItem("lethe.theme");
  if (chosen) document.documentElement.dataset.theme = chosen;
}
