# A page with a greeting that comes from the description of the infrastructure.
class page(String $greeting) {
  file { "${facts['folder']}/site":
    ensure => directory,
  }
  file { "${facts['folder']}/site/index.html":
    ensure  => file,
    content => "<h1>${greeting}</h1>\n",
  }
}
include page
