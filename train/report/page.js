// Shows only those wrong sentences of a file that its two menus choose.
document.querySelectorAll('.filter').forEach(function (form) {
  var items = form.parentNode.querySelectorAll('ol > li');
  function has(item, name) {
    var wanted = form.elements[name].value;
    return wanted === '' || item.dataset[name].split(' ').indexOf(wanted) >= 0;
  }
  function show() {
    var shown = 0;
    items.forEach(function (item) {
      item.hidden = !(has(item, 'types') && has(item, 'kinds'));
      shown += !item.hidden;
    });
    form.querySelector('output').textContent = shown + ' of ' + items.length + ' shown';
  }
  form.addEventListener('change', show);
  form.hidden = false;
  show();
});
