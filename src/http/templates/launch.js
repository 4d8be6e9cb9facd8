(function () {
  var uri = document.body.dataset.launch;
  // Once: neither a reload nor coming back from WeChat launches it again.
  if (uri && uri.indexOf('weixin://') === 0 && !history.state) {
    history.replaceState({ launched: true }, '');
    location.href = uri;
  }

  // Where there is no clipboard (http, old webviews): select, and copy the selection.
  function copySelected(node) {
    var range = document.createRange();
    range.selectNodeContents(node);
    var selection = getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
    return document.execCommand('copy');
  }

  document.querySelectorAll('[data-copy]').forEach(function (button) {
    var node = document.getElementById(button.dataset.copy);
    button.hidden = false;
    function done() {
      button.textContent = button.dataset.done;
      document.getElementById('said').textContent = button.dataset.done;
    }
    button.addEventListener('click', function () {
      if (navigator.clipboard) {
        navigator.clipboard.writeText(node.textContent).then(done, function () {
          if (copySelected(node)) done();
        });
      } else if (copySelected(node)) {
        done();
      }
    });
  });
})();
